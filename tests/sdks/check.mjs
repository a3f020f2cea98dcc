// Names what holds and what does not, and ends with 1 when anything did not. Packages come from LLMUP_TEST_SDKS.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import assert from "node:assert/strict";

export const URL_ = process.env.LLMUP_SDK_URL;
export const KEY = process.env.LLMUP_SDK_KEY;
export const HELLO = "Hello there, café 🦀.";
export const same = assert.deepEqual;
export { assert };

const require = createRequire(`${process.env.LLMUP_TEST_SDKS}/js/package.json`);
export const load = (name) => import(pathToFileURL(require.resolve(name)));

let failed = 0;
export async function check(name, run) {
  try {
    await run();
    console.log(`PASS  ${name}`);
  } catch (error) {
    failed = 1;
    console.log(`FAIL  ${name}\n${String(error?.stack ?? error).slice(0, 2000)}`);
  }
}
export async function raises(kind, run) {
  let got;
  try {
    got = await run();
  } catch (error) {
    assert(error instanceof kind, `${error?.constructor?.name} instead of ${kind.name}: ${error}`);
    return error;
  }
  assert.fail(`no ${kind.name}, but ${JSON.stringify(got)}`);
}
export const end = () => process.exit(failed);
