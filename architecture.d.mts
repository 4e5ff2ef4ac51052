/** Types of architecture.mjs. */
export const layers: readonly (readonly string[])[];
export const nodeFolders: readonly string[];
export const platformSuffixes: Readonly<Record<"node" | "web", string>>;
