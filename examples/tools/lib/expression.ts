import { ToolError } from '@callyard/worker';

const maxLength = 1_000;
const maxDepth = 50;

const binary: Record<string, { power: number; rightFirst?: boolean; apply: (a: number, b: number) => number }> = {
  '+': { power: 1, apply: (a, b) => a + b },
  '-': { power: 1, apply: (a, b) => a - b },
  '*': { power: 2, apply: (a, b) => a * b },
  '/': { power: 2, apply: (a, b) => a / b },
  '%': { power: 2, apply: (a, b) => a % b },
  '^': { power: 4, rightFirst: true, apply: (a, b) => a ** b },
};
const signPower = 3;

const functions: Record<string, (...values: number[]) => number> = {
  sqrt: Math.sqrt,
  abs: Math.abs,
  round: Math.round,
  min: Math.min,
  max: Math.max,
};

interface Token {
  text: string;
  at: number;
}

/** Evaluates arithmetic with `+ - * / % ^`, brackets and a few functions, by precedence climbing (Pratt, 1973). */
export function evaluate(expression: string): number {
  if (expression.length > maxLength) throw new ToolError(`The expression is longer than ${maxLength} characters.`);
  const tokens = tokenize(expression);
  let next = 0;
  const peek = (): string | undefined => tokens[next]?.text;
  const unexpected = (): ToolError => {
    const token = tokens[next];
    return new ToolError(
      token ? `Unexpected ${token.text} at position ${token.at}.` : 'The expression ends too early.',
    );
  };
  const take = (text: string): void => {
    if (peek() !== text) throw unexpected();
    next += 1;
  };

  const operand = (depth: number): number => {
    if (depth > maxDepth) throw new ToolError(`Nested deeper than ${maxDepth}.`);
    const token = peek();
    if (token === undefined) throw unexpected();
    next += 1;
    if (token === '-') return -climb(signPower, depth + 1);
    if (token === '(') {
      const value = climb(0, depth + 1);
      take(')');
      return value;
    }
    const named = Object.hasOwn(functions, token) ? functions[token] : undefined;
    if (named) return call(token, named, depth);
    if (/^[\d.]/.test(token)) return Number(token);
    next -= 1;
    throw unexpected();
  };

  const call = (name: string, apply: (...values: number[]) => number, depth: number): number => {
    take('(');
    const values = [climb(0, depth + 1)];
    while (peek() === ',') {
      next += 1;
      values.push(climb(0, depth + 1));
    }
    take(')');
    if (apply.length === 1 && values.length > 1) throw new ToolError(`${name} takes one number, not ${values.length}.`);
    return apply(...values);
  };

  const climb = (power: number, depth: number): number => {
    let left = operand(depth);
    for (let operator = binary[peek() ?? '']; operator && operator.power > power; operator = binary[peek() ?? '']) {
      next += 1;
      left = operator.apply(left, climb(operator.rightFirst ? operator.power - 1 : operator.power, depth + 1));
    }
    return left;
  };

  const value = climb(0, 0);
  if (next < tokens.length) throw unexpected();
  return value;
}

function tokenize(expression: string): Token[] {
  const pattern = /\s+|\d+(?:\.\d+)?|\.\d+|[a-z]+|[-+*/%^(),]/y;
  const tokens: Token[] = [];
  for (let at = 0; at < expression.length; at = pattern.lastIndex) {
    const [text] = pattern.exec(expression) ?? [];
    if (text === undefined) {
      throw new ToolError(`Cannot read ${JSON.stringify(expression.slice(at, at + 10))} at position ${at}.`);
    }
    if (text.trim() !== '') tokens.push({ text, at });
  }
  return tokens;
}
