/** Prints one figure, as a line of text or of JSON. */
export type Report = (figure: string, value: number, more?: Record<string, unknown>) => void;

export const reporter =
  (json: boolean): Report =>
  (figure, value, more = {}) => {
    const line = { figure, value: Math.round(value * 1_000) / 1_000, ...more };
    if (json) return console.log(JSON.stringify({ bench: 'runs', ...line }));
    console.log(
      Object.entries(line)
        .map(([name, one]) => (name === 'figure' ? String(one) : `${name} ${one}`))
        .join('   '),
    );
  };
