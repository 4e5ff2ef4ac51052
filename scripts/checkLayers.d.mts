/** Types of checkLayers.mjs for its tests. */
export interface Architecture {
  readonly layers: readonly (readonly string[])[];
  readonly nodeFolders: readonly string[];
  readonly platformSuffixes: Readonly<Record<string, string>>;
}

export type Rule = "upward" | "sideways" | "door" | "platform" | "cycle" | "outside" | "test-import" | "unknown-folder";

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: Rule;
  readonly message: string;
}

export function checkLayers(files: Readonly<Record<string, string>>, architecture: Architecture): Violation[];
export function readSources(root: string): Record<string, string>;
export function formatViolation(violation: Violation): string;
