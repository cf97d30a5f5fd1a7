const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `1,234` */
export const countText = (count: number): string => whole.format(count);

/** `12 s`, `3 min`: for how long something has been so; `-` for not at all. */
export function ageText(ms: number): string {
  if (ms <= 0) return '-';
  if (ms < 1_000) return '< 1 s';
  if (ms < 120_000) return `${Math.floor(ms / 1_000)} s`;
  if (ms < 2 * 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return ms < 48 * 3_600_000 ? `${Math.floor(ms / 3_600_000)} h` : `${Math.floor(ms / 86_400_000)} days`;
}

/** `99.5 %`; never `100.0 %` where one is missing, nor `0.0 %` where there is one. */
export function shareText(part: number, of: number): string {
  if (of === 0) return '-';
  const tenths = (1_000 * part) / of;
  const shown = part > 0 && part < of ? Math.min(999, Math.max(1, Math.round(tenths))) : tenths;
  return `${(shown / 10).toFixed(1)} %`;
}

/** `0.4`, `12`, `1,234` */
export const rateText = (perSecond: number): string =>
  perSecond < 10 ? perSecond.toFixed(1) : whole.format(perSecond);

const units = ['B', 'KB', 'MB', 'GB', 'TB'];

/** `1.2 GB`, of 1,024 each. */
export function bytesText(bytes: number): string {
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1_024 ** power).toFixed(power > 1 ? 1 : 0)} ${units[power]}`;
}
