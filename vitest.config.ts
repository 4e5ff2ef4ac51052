import type { ViteUserConfig } from "vitest/config";

/** Where `CI=true` leaves the results for scripts/testSummary.mjs; in a folder that git ignores. */
const resultsFile = "node_modules/.cache/sheaf/test-results.json";

const config: ViteUserConfig = {
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "web/**/*.test.ts"],
    globalSetup: ["test/globalSetup.ts"],
    pool: "forks",
    maxWorkers: 2,
    // No test changes what a module holds, and loading them all again for each file takes more than a quarter of the time (27 s of CPU against 19 on 28 files).
    isolate: false,
    // A machine with other work is slow; what hangs is caught all the same.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 120_000 } },
    reporters: process.env.CI ? ["default", ["json", { outputFile: resultsFile }]] : ["default"],
  },
};

export default config;
