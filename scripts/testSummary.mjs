/** Prints "N passed, N failed, N skipped" from the JSON results of vitest (first argument); exits 1 when a test failed or none passed. */
import { readFileSync } from "node:fs";

/** Counts of a results file. A test file that could not be loaded counts as one failed test. */
function countTests(path) {
  const results = JSON.parse(readFileSync(path, "utf8"));
  const unloadable = results.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + unloadable.length,
    skipped: results.numPendingTests + (results.numTodoTests ?? 0),
  };
}

function countsOrFailure(path) {
  try {
    return countTests(path);
  } catch (error) {
    console.error(`No test results in ${path}: ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const { passed, failed, skipped } = countsOrFailure(process.argv[2]);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
