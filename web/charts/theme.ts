/**
 * Light, dark, or as the system prefers. Style sheets know the system's preference alone; the switch rewrites their media queries, so that there is one set of
 * colours for either, whoever chose it.
 */

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const key = "sheaf-theme";
const darkQuery = "(prefers-color-scheme: dark)";
/** What the query is replaced by: always, or never. */
const replacements: { readonly [T in Theme]: string } = { system: darkQuery, light: "not all", dark: "all" };

/** The dark rules of all sheets, found once: rewritten queries would not be found again. */
const darkRules = new Set<CSSMediaRule>();

function findDarkRules(): void {
  for (const sheet of [...document.styleSheets, ...document.adoptedStyleSheets]) {
    for (const rule of sheet.cssRules) if (rule instanceof CSSMediaRule && rule.media.mediaText === darkQuery) darkRules.add(rule);
  }
}

/** The theme that was chosen on this device. */
export function storedTheme(): Theme {
  const stored = localStorage.getItem(key);
  return themes.find((theme) => theme === stored) ?? "system";
}

function show(theme: Theme): void {
  findDarkRules();
  for (const rule of darkRules) rule.media.mediaText = replacements[theme];
  // Controls and scroll bars follow.
  if (theme === "system") document.documentElement.style.removeProperty("color-scheme");
  else document.documentElement.style.setProperty("color-scheme", theme);
}

/** Shows a theme, and keeps it for the next time. */
export function chooseTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(key);
  else localStorage.setItem(key, theme);
  show(theme);
}

/** Shows the theme that was chosen, once all style sheets are there. */
export function applyStoredTheme(): void {
  const theme = storedTheme();
  if (theme === "system") return;
  if (document.readyState === "complete") show(theme);
  else addEventListener("load", () => show(theme), { once: true });
}
