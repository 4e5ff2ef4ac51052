/** Types of disturb.mjs. */
export type DisturbanceName = "peace" | "kills" | "assembly" | "line" | "clock" | "coordinatorDisk" | "deviceDisk" | "twins" | "staleCopy";
export interface DisturbOptions {
  readonly folder: string;
  /** Of each device's training. */
  readonly epochs: number;
  readonly seed: number;
  /** For "kills". */
  readonly kills?: number;
  /** Of a fleet left in peace. */
  readonly expectedSha256?: string | undefined;
  readonly report?: (line: string) => void;
}
export interface Disturbed {
  readonly sha256: string | undefined;
  /** How often each fault took place. */
  readonly counts: ReadonlyMap<string, number>;
  /** Objects and uploads that nothing spoke of when the run had ended, and that were removed. */
  readonly collected: number;
  /** What cannot be done on this machine. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}
export declare function disturb(names: readonly DisturbanceName[], options: DisturbOptions): Promise<Disturbed>;
