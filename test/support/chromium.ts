/** Debian's Chromium, which tests of pages drive: where it is, and how a machine without it gets it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Where Debian's package puts it. */
export const chromiumPath = "/usr/bin/chromium";

/** Runs a command without questions; its last line of complaint where it failed. */
function complaintOf(command: string, args: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    timeout: 300_000,
  });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split("\n").at(-1) ?? "it failed");
}

/**
 * Installs Chromium with apt where it is missing and this process may; says what it does. Returns why there is none, or undefined where there is one.
 * SHEAF_INSTALL=never leaves the machine as it is.
 */
export function provideChromium(say: (line: string) => void): string | undefined {
  if (existsSync(chromiumPath)) return undefined;
  if (process.env.SHEAF_INSTALL === "never") return "SHEAF_INSTALL=never forbids to install it";
  if (!existsSync("/usr/bin/apt-get")) return "this machine has no apt to install it with";
  if (process.getuid?.() !== 0) return "only root may install it (apt-get install chromium)";
  say("Installing Debian's Chromium for tests of pages: apt-get install --no-install-recommends chromium");
  const failure =
    complaintOf("apt-get", ["update", "-qq"]) ?? complaintOf("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"]);
  return existsSync(chromiumPath) ? undefined : `apt-get could not install it: ${failure ?? "the package has no such file"}`;
}
