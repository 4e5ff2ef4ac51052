/** Types of readImports.mjs for its tests. */
export interface Import {
  readonly specifier: string;
  /** Line of the statement's first word, from 1. */
  readonly line: number;
  readonly kind: "static" | "type" | "dynamic";
}

export function readImports(source: string): Import[];
