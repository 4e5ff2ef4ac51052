/** In which settle passes a device takes part. */

/** Settle passes of a run, and who sits which of them out. */
export interface SettlePasses {
  readonly passes: number;
  /** Passes, from 1, that a device takes no part in, by its name. */
  readonly skip?: Readonly<Record<string, readonly number[]>> | undefined;
}

/** Passes that a device takes part in, from 1. */
export function passesOf({ passes, skip }: SettlePasses, device: string): readonly number[] {
  const skipped = skip && Object.hasOwn(skip, device) ? (skip[device] ?? []) : [];
  return Array.from({ length: passes }, (_, i) => i + 1).filter((pass) => !skipped.includes(pass));
}
