import { describe, expect, it } from 'vitest';
import { codeFiles, expectKept, importsOf, packageFiles, type Check, type Import } from './source-files.ts';

const room = (path: string): string => /^packages\/(\w+)\//.exec(path)?.[1] ?? '';

const mayImport: Record<string, string[]> = {
  shared: ['shared'],
  worker: ['shared', 'worker'],
  dispatcher: ['shared', 'dispatcher'],
  cli: ['shared', 'worker', 'dispatcher', 'cli'],
};

const oneDirection: Check = ({ path, imports }) =>
  imports
    .filter(({ target }) => /^(packages|test|bench|examples|scripts|\.\.)\//.test(target))
    .filter(({ target }) => !mayImport[room(path)]?.includes(room(target)))
    .map(({ target }) => `imports ${target}`);

/** Nothing but these files imports what is meant. */
const onlyIn =
  (homes: RegExp, isMeant: (one: Import) => boolean): Check =>
  ({ path, imports }) =>
    homes.test(path) ? [] : imports.filter(isMeant).map(({ target }) => `imports ${target}`);

/** BullMQ has many exports; whoever takes all of them takes this one too. */
const bullmq =
  (name: RegExp) =>
  ({ target, values }: Import): boolean =>
    target === 'bullmq' && values.some((value) => value === '*' || value === 'default' || name.test(value));

const step = /^packages\/worker\/src\/(resolve|authorize|validate|open|execute|redact|settle|record)\.ts$/;
const readsEnvironment =
  /\bprocess\s*\??\.\s*env\b|\bprocess\s*\[|\benv\b[^}]*\}\s*=\s*process\b|^import\b.*['"](node:)?process['"]/m;

describe('imports', () => {
  it('are read as they are written', () => {
    expect(packageFiles.length).toBeGreaterThan(60);
    const worker = codeFiles.find(({ path }) => path === 'packages/worker/src/worker.ts');
    expect(worker?.imports).toContainEqual({ target: 'node:crypto', values: ['randomBytes'] });
    expect(worker?.imports).toContainEqual({
      target: 'packages/shared/src/redis.ts',
      values: ['connectRedis', 'openRedis'],
    });
    const text = [
      "import first, { second as other, type Third } from '../b.ts';",
      "import type { Fourth } from 'x';",
      "import {\n  Fifth,\n} from '@callyard/worker';",
      "import 'y';",
      "export * from './z.ts';",
      "export const three = '3';",
      "const lazy = await import('@callyard/worker/toolkit');",
    ].join('\n');
    expect(importsOf('packages/cli/src/a/a.ts', text)).toEqual([
      { target: 'packages/cli/src/b.ts', values: ['default', 'second'] },
      { target: 'x', values: [] },
      { target: 'packages/worker/src/index.ts', values: ['Fifth'] },
      { target: 'packages/cli/src/a/z.ts', values: ['*'] },
      { target: 'y', values: [] },
      { target: 'packages/worker/src/toolkit.ts', values: ['*'] },
    ]);
  });

  it('go one way: dispatcher → shared ← worker, cli may use all, and nothing leaves the packages', () => {
    expectKept(oneDirection, packageFiles, [
      ['packages/dispatcher/src/a.ts', "import { createWorker } from '@callyard/worker';"],
      ['packages/worker/src/a.ts', "import type { Run } from '../../dispatcher/src/loop.ts';"],
      ['packages/shared/src/a.ts', "export * from '@callyard/dispatcher';"],
      ['packages/shared/src/a.ts', "import { setup } from '../../../test/support/setup.ts';"],
      ['packages/worker/src/a.ts', "const cli = import('@callyard/cli/local-redis');"],
    ]);
  });

  it("name BullMQ's Queue only in shared/queue.ts", () => {
    expectKept(onlyIn(/^packages\/shared\/src\/queue\.ts$/, bullmq(/^Queue/)), packageFiles, [
      ['packages/shared/src/a.ts', "import { Job, Queue as Bull } from 'bullmq';"],
      ['packages/shared/src/a.ts', "import * as bull from 'bullmq';"],
      ['packages/dispatcher/src/a.ts', "import { QueueEvents } from 'bullmq';"],
      ['packages/dispatcher/src/a.ts', "const { Queue } = await import('bullmq');"],
    ]);
  });

  it("name BullMQ's Worker only in shared/job-worker.ts", () => {
    expectKept(onlyIn(/^packages\/shared\/src\/job-worker\.ts$/, bullmq(/^Worker$/)), packageFiles, [
      ['packages/cli/src/a.ts', "import { Worker } from 'bullmq';"],
    ]);
  });

  it('name BullMQ at all only where its queue and its jobs are handled', () => {
    const homes =
      /^packages\/(shared\/src\/(queue|job-worker)|worker\/src\/(process-job|conclude)|dispatcher\/src\/runs)\.ts$/;
    expectKept(
      onlyIn(homes, ({ target }) => target.startsWith('bullmq')),
      packageFiles,
      [['packages/worker/src/settle.ts', "import type { Job } from 'bullmq';"]],
    );
  });

  it('name ioredis only in shared/redis.ts', () => {
    expectKept(
      onlyIn(/^packages\/shared\/src\/redis\.ts$/, ({ target }) => /^ioredis\b/.test(target)),
      packageFiles,
      [
        ['packages/shared/src/ledger.ts', "import type { Redis } from 'ioredis';"],
        ['packages/cli/src/a.ts', "import { Command } from 'ioredis/built/Command.js';"],
      ],
    );
  });

  it('name the OpenTelemetry SDK and its exporters only where shared/ starts it; its API is free', () => {
    const sdk = ({ target }: Import) => target.startsWith('@opentelemetry/') && target !== '@opentelemetry/api';
    expectKept(
      onlyIn(/^packages\/shared\/src\/(telemetry-start|telemetry-process|metrics-start)\.ts$/, sdk),
      packageFiles,
      [
        ['packages/shared/src/telemetry.ts', "import { NodeSDK } from '@opentelemetry/sdk-node';"],
        ['packages/worker/src/a.ts', "import { resourceFromAttributes } from '@opentelemetry/resources';"],
      ],
    );
  });

  it('name the SDKs of models only in dispatcher/models/', () => {
    const sdk = ({ target }: Import) =>
      /^(openai|@anthropic-ai\/|@google\/gen|ai$|@ai-sdk\/|@mistralai\/)/.test(target);
    expectKept(onlyIn(/^packages\/dispatcher\/src\/models\//, sdk), packageFiles, [
      ['packages/dispatcher/src/loop.ts', "import type { ChatCompletion } from 'openai/resources';"],
      ['packages/cli/src/demo-command.ts', "import Anthropic from '@anthropic-ai/sdk';"],
    ]);
  });

  it('never lead from one step of a call to another', () => {
    expect(packageFiles.filter(({ path }) => step.test(path))).toHaveLength(8);
    const crosses: Check = ({ path, imports }) =>
      imports.filter(({ target }) => step.test(path) && step.test(target)).map(({ target }) => `imports ${target}`);
    expectKept(crosses, packageFiles, [['packages/worker/src/open.ts', "import type { A } from './validate.ts';"]]);
  });

  it('keep tool handlers away from the queue and from Redis', () => {
    const handlers = codeFiles.filter(({ path }) => /^(examples\/tools|packages\/worker\/src\/toolkit)\//.test(path));
    const plumbing = /^(bullmq|ioredis)\b|^packages\/shared\/src\/(queue|redis|ledger|catalog|names)\.ts$/;
    expectKept(
      onlyIn(/^$/, ({ target }) => plumbing.test(target)),
      handlers,
      [
        ['examples/tools/a.ts', "import { openRedis } from '@callyard/shared/redis';"],
        ['packages/worker/src/toolkit/a.ts', "import { Queue } from 'bullmq';"],
      ],
    );
  });
});

describe('process.env', () => {
  it('is read only in shared/config.ts and where the bundled Redis is started', () => {
    const homes = /^packages\/(shared\/src\/config|cli\/src\/local-redis\/environment)\.ts$/;
    const reads: Check = ({ path, text }) => (readsEnvironment.test(text) && !homes.test(path) ? ['reads it'] : []);
    expectKept(reads, packageFiles, [
      ['packages/cli/src/a.ts', 'const url = process.env.REDIS_URL;'],
      ['packages/cli/src/a.ts', "const url = process['env'].REDIS_URL;"],
      ['packages/cli/src/a.ts', 'const { env } = process;'],
      ['packages/cli/src/a.ts', "import { env } from 'node:process';"],
    ]);
  });
});
