/** Asynchronous work on many items, a few at a time, with the results in the order of the items. */

/**
 * Yields the results of `work` in the order of `items`. At most `limit` are under way or waiting to be taken, so memory stays bounded
 * however slow the consumer is. When one fails, the results before it are yielded first; what is under way is waited for before the failure goes on.
 * @example for await (const text of inOrder(paths, 8, (path) => readFile(path, "utf8"))) console.log(text.length);
 */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const underWay: Promise<R>[] = [];
  let index = 0;
  try {
    for (const item of items) {
      const result = work(item, index++);
      // A failure is met when its turn comes; until then it must not count as unhandled.
      result.catch(() => undefined);
      underWay.push(result);
      if (underWay.length >= limit) yield await (underWay.shift() as Promise<R>);
    }
    for (let result = underWay.shift(); result; result = underWay.shift()) yield await result;
  } finally {
    await Promise.allSettled(underWay);
  }
}
