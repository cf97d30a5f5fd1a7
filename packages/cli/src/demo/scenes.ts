import type { AssistantMessage, Message, ModelRequest, PrincipalInput, ToolCall } from '@callyard/dispatcher';

/** One user, one question, and what the scripted model makes of it. A real model is asked the same question. */
export interface Scene {
  title: string;
  principal: PrincipalInput;
  question: string;
  /** tools offered by name; default: those the user may call */
  tools?: string[];
  /** what the scripted model says in each turn, from what it was told so far */
  script: readonly ((answers: Record<string, unknown>[]) => AssistantMessage)[];
}

let calls = 0;
const call = (name: string, args: unknown): ToolCall => ({
  id: `call_${++calls}`,
  type: 'function',
  function: { name, arguments: JSON.stringify(args) },
});
const propose = (...proposed: ToolCall[]): AssistantMessage => ({
  role: 'assistant',
  content: null,
  tool_calls: proposed,
});
const say = (content: string): AssistantMessage => ({ role: 'assistant', content });

const user = (userId: string, ...roles: string[]): PrincipalInput => ({ owner: 'acme', userId, roles });

export const scenes: readonly Scene[] = [
  {
    title: 'Parallel calls take as long as the slowest of them',
    principal: user('ingrid'),
    question:
      'What does shipping 2 kg cost to Oslo, Sevilla and Osaka, what time is it in Osaka, and what is 349 + 129.5?',
    script: [
      () =>
        propose(
          ...['Oslo', 'Sevilla', 'Osaka'].map((city) => call('quote_shipping', { city, kilograms: 2 })),
          call('time_in_zone', { zone: 'Asia/Tokyo' }),
          call('calculate', { expression: '349 + 129.5' }),
        ),
      ([oslo, sevilla, osaka, time, sum]) =>
        say(
          `Shipping costs ${oslo?.price} EUR to Oslo, ${sevilla?.price} to Sevilla and ${osaka?.price} to Osaka. ` +
            `In Osaka it is ${time?.time}. Your sum is ${sum?.result}.`,
        ),
    ],
  },
  {
    title: 'Bad arguments are an answer that the model repairs',
    principal: user('mateo'),
    question: 'Which orders are open, and what are they worth together?',
    script: [
      () => propose(call('query_orders', { query: "SELECT * FROM orders WHERE status = 'open'" })),
      () =>
        propose(
          call('query_orders', { sql: "SELECT count(*) AS n, sum(amount) AS total FROM orders WHERE status = 'open'" }),
        ),
      (answers) => {
        const [{ n, total } = {}] = (answers.at(-1)?.rows ?? []) as { n?: number; total?: number }[];
        return say(`${n} orders are open, worth ${total} EUR.`);
      },
    ],
  },
  {
    title: 'A failed attempt is tried again',
    principal: user('aiko'),
    question: 'How many tea kettles are in stock? And how many words has "a kettle for two"?',
    script: [
      () => propose(call('check_stock', { item: 'Tea kettle' }), call('count_text', { text: 'a kettle for two' })),
      ([stock, text]) => say(`There are ${stock?.inStock} kettles. The phrase has ${text?.words} words.`),
    ],
  },
  {
    title: 'A refund without the role is refused',
    principal: user('mateo'),
    question: 'Please refund my order 1006.',
    tools: ['refund_order'],
    script: [
      () => propose(call('refund_order', { order: 1006 })),
      ([refund]) =>
        say(`I may not do that: ${(refund?.error as { message?: string } | undefined)?.message} Support can.`),
    ],
  },
  {
    title: 'The same refund by support is made, once',
    principal: user('lena', 'support'),
    question: 'Please refund order 1006.',
    tools: ['refund_order'],
    script: [
      () => propose(call('refund_order', { order: 1006 })),
      ([refund]) => say(`Order ${refund?.order} is refunded by ${refund?.refundedBy}.`),
    ],
  },
];

/** What the scripted model of a scene says in this turn. */
export const scriptedLine =
  ({ script }: Scene) =>
  ({ messages, turn }: ModelRequest): AssistantMessage =>
    script[turn]?.(answersIn(messages)) ?? say('I have nothing to add.');

const answersIn = (messages: readonly Message[]): Record<string, unknown>[] =>
  messages.flatMap(({ role, content }) =>
    role === 'tool' && typeof content === 'string' ? [JSON.parse(content) as Record<string, unknown>] : [],
  );
