/** The devices of a configuration: ids and profiles. */
import { type DeviceProfile, resolveProfile } from "../plan/device.ts";
import { SheafError } from "../util/errors.ts";
import type { DeviceConfig, RunConfig } from "./config.ts";

/** Ids of the control jobs; no device may be called so. */
export const controlIds = { central: "central", slim: "slim" } as const;

/** A class by name or number. Throws `config` naming the classes there are. */
export function classIdOf(value: string | number, classNames: readonly string[]): number {
  const id = typeof value === "number" ? value : classNames.indexOf(value);
  if (id >= 0 && id < classNames.length) return id;
  const known = classNames.length > 20 ? `${classNames.slice(0, 20).join(", ")}, ...` : classNames.join(", ");
  throw new SheafError("config", `Unknown class ${JSON.stringify(value)}; the data set has ${classNames.length} classes: ${known}.`);
}

function profileOf(device: DeviceConfig, classNames: readonly string[]): DeviceProfile {
  const { profile, classes, id, macsPerSecond, memoryBytes, bandwidthBitsPerSecond, watts } = device;
  const given = Object.fromEntries(
    Object.entries({ macsPerSecond, memoryBytes, bandwidthBitsPerSecond, watts }).filter(([, v]) => v !== undefined),
  );
  // By itself first: an unknown name is then what the error is about.
  if (profile !== undefined) resolveProfile(profile);
  const base = resolveProfile(profile === undefined ? { name: id ?? "custom", ...given } : { like: profile, ...given });
  return classes ? { ...base, preferredClasses: classes.map((c) => classIdOf(c, classNames)) } : base;
}

/** Devices with unique ids: as configured, or the profile's name with a number where it comes more than once. */
export function fleetOf(
  config: RunConfig,
  classNames: readonly string[],
): readonly { readonly id: string; readonly profile: DeviceProfile }[] {
  const profiles = config.fleet.devices.map((device) => profileOf(device, classNames));
  const seen = new Map<string, number>();
  const ids = config.fleet.devices.map((device, i) => {
    if (device.id !== undefined) return device.id;
    const name = profiles[i]?.name ?? "device";
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return profiles.filter((p) => p.name === name).length > 1 ? `${name}-${count}` : name;
  });
  const twice = ids.find((id, i) => ids.indexOf(id) !== i || Object.hasOwn(controlIds, id));
  if (twice !== undefined)
    throw new SheafError(
      "config",
      `Device id "${twice}" is taken; give every device an id of its own (central and slim are the controls').`,
    );
  return ids.map((id, i) => ({ id, profile: profiles[i] as DeviceProfile }));
}
