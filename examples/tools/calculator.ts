import { defineTool, ToolError, Type } from '@callyard/worker';
import { evaluate } from './lib/expression.ts';

export const calculate = defineTool({
  name: 'calculate',
  version: '1.0.0',
  description: 'Evaluates arithmetic: + - * / % ^, brackets, sqrt, abs, round, min, max',
  category: 'math',
  parameters: Type.Object(
    { expression: Type.String({ minLength: 1, maxLength: 1_000 }) },
    { additionalProperties: false },
  ),
  policy: { effects: 'none', timeoutMs: 1_000 },
  handler({ expression }) {
    const result = evaluate(expression);
    if (!Number.isFinite(result)) throw new ToolError(`${expression} is not a finite number.`);
    return { expression, result };
  },
});
