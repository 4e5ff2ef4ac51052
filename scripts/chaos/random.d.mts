/** Types of random.mjs. */
export declare function randomOf(seed: number): () => number;
export declare function below(random: () => number, count: number): number;
export declare function shuffled<T>(random: () => number, items: readonly T[]): T[];
