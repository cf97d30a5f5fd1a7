/** What a figure is to be; one without a target only informs. */
type Target = { atMost: number } | { atLeast: number } | { exactly: number };

/** Prints one figure of a guarantee. */
export type Report = (figure: string, value: number, target?: Target, more?: Record<string, unknown>) => void;

const signs = { atMost: '≤', atLeast: '≥', exactly: '=' } as const;

export const reporter =
  (guarantee: number, json: boolean): Report =>
  (figure, value, target, more = {}) => {
    const verdict = target ? { target: wanted(target), ok: meets(value, target) } : {};
    const line = { guarantee, figure, value: rounded(value), ...verdict, ...more };
    console.log(json ? JSON.stringify({ bench: 'admission', ...line }) : asText(line));
  };

const meets = (value: number, target: Target): boolean =>
  'atMost' in target
    ? value <= target.atMost
    : 'atLeast' in target
      ? value >= target.atLeast
      : value === target.exactly;

function wanted(target: Target): string {
  const [[kind, figure]] = Object.entries(target) as [[keyof typeof signs, number]];
  return `${signs[kind]} ${rounded(figure)}`;
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

function asText({ guarantee, figure, value, ...more }: Record<string, unknown>): string {
  const rest = Object.entries(more).map(
    ([name, one]) => `${name} ${typeof one === 'string' ? one : JSON.stringify(one)}`,
  );
  return [`${String(guarantee)}  ${String(figure)}: ${String(value)}`, ...rest].join('   ');
}
