import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { createAudit, type AuditRecord } from '@callyard/shared/audit';
import { createLogger } from '@callyard/shared/log';
import { folderWith } from '../support/temporary-folder.ts';

const record: AuditRecord = {
  event: 'call.refused',
  decision: 'refused',
  principal: { owner: 'acme', userId: 'mia', roles: ['support'] },
  code: 'permission_denied',
  job_id: 'r.0.0',
};

/** An audit of a process whose log has this level, and what both have written. */
async function auditWith(level: string) {
  const file = `${await folderWith({})}/audit.jsonl`;
  const logged: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void logged.push(JSON.parse(line) as never) };
  const log = createLogger({ name: 'test', level, destination }).child({ worker: 'w1' });
  const audit = createAudit({ file, log });
  const records = async () =>
    (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  return { file, log, logged, audit, records };
}

it('a record says who, what and which process, and the log tells of it without names of people', async () => {
  const { audit, records, logged } = await auditWith('info');
  audit.write(record, 'refused');
  const about = {
    event: 'call.refused',
    decision: 'refused',
    code: 'permission_denied',
    job_id: 'r.0.0',
    worker: 'w1',
  };
  const who = { audit: true, owner: 'acme', user_id: 'mia', roles: ['support'], name: 'test' };
  expect(await records()).toMatchObject([{ time: expect.stringMatching(/^\d{4}-.*Z$/) as unknown, ...about, ...who }]);
  expect(logged).toMatchObject([{ level: 'info', ...about, msg: 'refused' }]);
  expect(JSON.stringify(logged)).not.toMatch(/mia|acme|support|audit/);
});

it('a line beside its record may be of a lower level than one that is the record', async () => {
  const { audit, records, logged } = await auditWith('info');
  audit.write(record, 'refused', 'debug');
  expect(await records()).toHaveLength(1);
  expect(logged).toEqual([]);
  const lines: unknown[] = [];
  const log = createLogger({ name: 'test', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  createAudit({ file: '', log }).write(record, 'refused', 'debug');
  expect(lines).toMatchObject([{ level: 'info', audit: true }]);
});

it('a level of the log silences no record that has a file', async () => {
  const { audit, records, logged } = await auditWith('silent');
  audit.write(record, 'refused');
  expect(await records()).toHaveLength(1);
  expect(logged).toEqual([]);
});

it('without a file a record is a line of the log', () => {
  const logged: unknown[] = [];
  const log = createLogger({ name: 'test', destination: { write: (line) => void logged.push(JSON.parse(line)) } });
  createAudit({ file: '', log }).write(record, 'refused', 'warn');
  expect(logged).toMatchObject([{ level: 'warn', audit: true, owner: 'acme', user_id: 'mia', msg: 'refused' }]);
});

it.each(['warn', 'error', 'fatal'])(
  'without a file a log of level %s holds no other line, but all records',
  (level) => {
    const logged: unknown[] = [];
    const destination = { write: (line: string) => void logged.push(JSON.parse(line)) };
    const log = createLogger({ name: 'test', level, destination }).child({ worker: 'w1' });
    const audit = createAudit({ file: '', log });
    audit.write(record, 'refused', 'debug');
    audit.write(record, 'refused', 'warn');
    log.info('something else');
    const line = { audit: true, worker: 'w1', user_id: 'mia' };
    expect(logged).toMatchObject([
      { level: 'info', ...line },
      { level: 'warn', ...line },
    ]);
  },
);

it('without a file a silent log stays silent, as what a command prints is its answer', () => {
  const logged: unknown[] = [];
  const log = createLogger({ name: 'test', level: 'silent', destination: { write: (line) => void logged.push(line) } });
  createAudit({ file: '', log }).write(record, 'refused');
  expect(logged).toEqual([]);
});

it('a file that was renamed is left alone, and begun anew, for its owner only', async () => {
  const { file, audit, records } = await auditWith('info');
  audit.write(record, 'refused');
  await rename(file, `${file}.1`);
  audit.write({ ...record, job_id: 'r.0.1' }, 'refused');
  expect(await records()).toMatchObject([{ job_id: 'r.0.1' }]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it('a file that cannot be written stops a process that starts, and later loses no record', async () => {
  const { file, log, logged, audit } = await auditWith('error');
  await rm(file);
  await mkdir(file);
  expect(() => createAudit({ file, log })).toThrow(new RegExp(`^the audit file ${file} cannot be written: EISDIR`));
  audit.write(record, 'refused');
  expect(logged).toMatchObject([
    { event: 'audit.failed', level: 'error', record: { job_id: 'r.0.0', user_id: 'mia' } },
  ]);
});
