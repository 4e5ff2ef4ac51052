/** Types of processes.mjs. */

/** What is to go wrong in a process; see preload.mjs. */
export interface Chaos {
  readonly killBeforeRename?: number;
  readonly killInAssembly?: number;
  readonly killAtEnd?: boolean;
  readonly clockOffsetHours?: number;
  readonly clockJumps?: readonly { readonly afterMs: number; readonly hours: number }[];
}
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}
/** A process and all that it has said. */
export interface Running {
  said(): string;
  readonly ended: Promise<Ended>;
  hasEnded(): boolean;
  signal(name: NodeJS.Signals): boolean;
  kill(): Promise<Ended>;
  /** Which of the patterns is said first; index -1 where the process ends before. Fails when nothing happens for long. */
  firstOf(...patterns: readonly (RegExp | undefined)[]): Promise<{ readonly index: number; readonly match: RegExpMatchArray | null }>;
  /** Resolves when the pattern has been said; fails when the process ends before. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
}
export interface StartOptions {
  readonly cwd?: string;
  readonly chaos?: Chaos | undefined;
}
export declare const command: string;
export declare const patienceMs: number;
export declare function killAll(): Promise<void>;
export declare function pause(ms: number): Promise<void>;
export declare function eventually<T>(look: () => T | Promise<T>, describe: () => string, limitMs?: number): Promise<T>;
export declare function startSheaf(args: readonly string[], options?: StartOptions): Running;
export declare function runSheaf(args: readonly string[], options?: StartOptions): Promise<string>;
