/** Types of singleRun.mjs. */
export interface Moment {
  readonly name: string;
  readonly pattern: RegExp | undefined;
  readonly withinMs: number;
  readonly beforeRename?: number;
}
export declare function beforeRename(count: number): Moment;
export declare const moments: readonly Moment[];
export declare const chaosArguments: readonly string[];
export declare function sha256Of(path: string): string;
export declare function drawMoments(random: () => number, count: number): readonly Moment[];
export declare function killAndResume(options: {
  readonly args: readonly string[];
  readonly out: string;
  readonly atMoments: readonly Moment[];
  readonly random: () => number;
  readonly expectedSha256: string;
}): Promise<readonly string[]>;
export declare function tormentRuns(options: {
  readonly folder: string;
  readonly kills: number;
  readonly random: () => number;
  readonly report: (line: string) => void;
}): Promise<ReadonlyMap<string, number>>;
