/** Types of proxy.mjs. */
export interface BadLine {
  readonly port: number;
  /** How often each fault was really done. */
  readonly counts: ReadonlyMap<string, number>;
  /** From now on all goes well. */
  calm(): void;
  close(): Promise<void>;
}
export declare const faultNames: readonly string[];
export declare function openBadLine(options: {
  readonly targetPort: number;
  readonly random: () => number;
  readonly rate?: number;
  readonly kinds?: readonly string[];
}): Promise<BadLine>;
