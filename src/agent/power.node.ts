/** Whether this machine runs on mains power, as Linux tells it in /sys/class/power_supply; elsewhere it is not known. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const read = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );

/**
 * Whether mains power is on: true where a charger says so, or no battery of the machine itself is there or in use; false where a battery is discharging or the
 * charger is off. Batteries of mice and the like do not count. Undefined where nothing is told.
 */
export async function isOnPower(folder: string = "/sys/class/power_supply"): Promise<boolean | undefined> {
  const names = await readdir(folder).catch(() => undefined);
  if (!names) return undefined;
  let charger: boolean | undefined;
  let battery: string | undefined;
  for (const name of names) {
    const [type, online, status, scope] = await Promise.all(
      ["type", "online", "status", "scope"].map((file) => read(join(folder, name, file))),
    );
    if (scope === "Device") continue;
    if (type === "Battery") battery = battery === "Discharging" ? battery : (status ?? "Unknown");
    else if (online !== undefined) charger = (charger ?? false) || Number(online) > 0;
  }
  if (charger !== undefined) return charger || battery === undefined;
  return battery !== "Discharging";
}
