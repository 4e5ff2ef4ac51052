/** Which settle passes a run has, and who takes part in them: what the planner charges, the run does and an export looks for. Pure. */
import type { SettleWork } from "../plan/cost.ts";
import { passesOf } from "../plan/settlePasses.ts";
import { SheafError } from "../util/errors.ts";
import { random, shuffle } from "../util/random.ts";
import type { RunConfig } from "./config.ts";

/**
 * Throws `config` when settle passes ask for more background than devices have, or for a pass that there is not; or for a device that there is not,
 * where the devices are known.
 */
export function checkSettle({ settle, rho }: RunConfig, devices?: readonly string[]): void {
  if (settle.rho !== undefined && settle.rho > rho) {
    throw new SheafError(
      "config",
      `settle.rho is ${settle.rho}, but devices have a background of rho ${rho} and cannot settle on more; lower settle.rho or raise rho.`,
    );
  }
  for (const [device, passes] of Object.entries(settle.skip)) {
    if (devices && !devices.includes(device)) {
      throw new SheafError(
        "config",
        `settle.skip names "${device}", which is no device of the fleet; its devices are ${devices.join(", ")}.`,
      );
    }
    const late = passes.find((pass) => pass > settle.passes);
    if (late !== undefined) {
      throw new SheafError("config", `settle.skip lets "${device}" skip pass ${late}, but there are ${settle.passes} settle passes.`);
    }
  }
}

/** Background samples of a settle pass, as a share of a device's background samples. */
export function settleShare({ settle, rho }: RunConfig): number {
  return settle.rho === undefined || rho === 0 ? 1 : settle.rho / rho;
}

/** Passes that a device takes part in, from 1. */
export function settlePassesOf({ settle }: RunConfig, device: string): readonly number[] {
  return passesOf(settle, device);
}

/** What settling makes a device do; undefined where it takes part in no pass. Without a device: one that skips nothing. */
export function settleWorkOf(config: RunConfig, device?: string): SettleWork | undefined {
  const passes = device === undefined ? config.settle.passes : settlePassesOf(config, device).length;
  return passes > 0 ? { passes, epochs: config.settle.epochs, backgroundShare: settleShare(config) } : undefined;
}

/** Name of a device's training in a pass. */
export function settleJobId(device: string, pass: number): string {
  return `${device}.settle${pass}`;
}

/** Name of the training that a device's branch of the global model comes from. */
export function settledJobId(config: RunConfig, device: string): string {
  const last = settlePassesOf(config, device).at(-1);
  return last === undefined ? device : settleJobId(device, last);
}

/** Devices in the order in which they take their turns in a pass. */
export function settleOrder({ seed }: RunConfig, devices: readonly string[], pass: number): readonly string[] {
  const order = Uint32Array.from(devices.keys());
  shuffle(order, random(seed, "settle", "order", pass));
  return Array.from(order, (i) => devices[i] as string);
}
