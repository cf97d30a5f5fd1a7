/** Text of a model or a tool without what a terminal would take for commands. */
export const plainText = (text: string): string => text.replaceAll(/[^\P{Cc}\n\t]/gu, '');

/** The same on one line, as part of a page whose spaces mean something. */
export const plainOnLine = (text: string): string => plainText(text).replaceAll(/[\n\t]/g, ' ');

/** The same on one line of at most so many characters. */
export function plainLine(text: string, maxLength: number): string {
  const line = plainText(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}
