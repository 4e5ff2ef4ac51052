/** Going about a page with the keyboard alone. */
import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";

/** More stops than any page has. */
const mostStops = 80;

/** Presses Tab until the element has the focus, which must show, and fails where no number of them leads there. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  await target.waitFor();
  const has = (): Promise<boolean> => target.evaluate((element) => element === element.ownerDocument.activeElement);
  for (let stops = 0; !(await has()); stops++) {
    expect(stops, `Tab never leads to ${target}`).toBeLessThan(mostStops);
    await page.keyboard.press("Tab");
  }
  const outline = await page.evaluate<string>("getComputedStyle(document.activeElement).outlineStyle");
  expect(outline, `${target} does not show that it has the focus`).not.toBe("none");
}

/** Goes to an element and presses Enter. */
export async function enter(page: Page, target: Locator): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.press("Enter");
}
