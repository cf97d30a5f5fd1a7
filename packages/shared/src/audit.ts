import { appendFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { ConfigError } from './config.ts';
import type { LogEvent, logEvents } from './log-names.ts';
import type { Principal } from './principal.ts';
import { activeTraceId } from './telemetry-span.ts';

export type AuditEvent = {
  [E in LogEvent]: (typeof logEvents)[E] extends { audit: true } ? E : never;
}[LogEvent];

/** Who did what to what, and what became of it. Never arguments, results or texts of errors. */
export interface AuditRecord {
  event: AuditEvent;
  decision: 'allowed' | 'refused' | 'done';
  /** on whose behalf; of a decision, the person */
  principal?: Pick<Principal, 'owner' | 'userId' | 'roles'> | undefined;
  owner?: string | undefined;
  /** who did it, where that is not the user */
  by?: string | undefined;
  why?: string | undefined;
  code?: string | undefined;
  tool?: string | undefined;
  job_id?: string | undefined;
  run_id?: string | undefined;
  trace_id?: string | undefined;
  attempt?: number | undefined;
  /** what this event tells beside, such as the permissions that were missing */
  more?: Readonly<Record<string, unknown>>;
}

export interface Audit {
  /**
   * Written when it returns, whatever level the log has, though without a file not by a log that is silent: a process
   * that dies after it leaves the record. `level` is that of the line beside it, and at least `info` where that is the
   * record.
   */
  write(record: AuditRecord, msg: string, level?: 'debug' | 'info' | 'warn'): void;
}

export interface AuditOptions {
  /** records are appended to it, a JSON line each; '' sends them to the log */
  file: string;
  log: Logger;
}

/**
 * Records of refused and privileged calls: to a file of their own, which the log then tells without names of people, or
 * with the log. The file is opened for each record (some 5 µs), so that it can be rotated by renaming it.
 * @throws ConfigError where the file cannot be written
 */
export function createAudit({ file, log }: AuditOptions): Audit {
  const records = ofAnyLevel(log);
  if (file === '')
    return { write: (record, msg, level) => records[level === 'warn' ? level : 'info'](fieldsOf(record), msg) };
  beginFile(file);
  const process = log.bindings();
  return {
    write(record, msg, level = 'info') {
      const fields = fieldsOf(record);
      const { owner: _owner, user_id: _userId, roles: _roles, by: _by, why: _why, audit: _audit, ...rest } = fields;
      const line = JSON.stringify({ time: new Date().toISOString(), ...process, ...fields, msg });
      try {
        appendFileSync(file, `${line}\n`, { mode: 0o600 });
        log[level](rest, msg);
      } catch (error) {
        records.error({ event: 'audit.failed', err: error, record: fields }, 'the audit file cannot be written');
      }
    },
  };
}

function beginFile(file: string): void {
  try {
    appendFileSync(file, '', { mode: 0o600 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`the audit file ${file} cannot be written: ${why}`, { cause: error });
  }
}

/** A level keeps other lines few, and is not meant for these; commands are silent, as they print their answer there. */
const ofAnyLevel = (log: Logger): Logger =>
  log.level === 'silent' || log.isLevelEnabled('info') ? log : log.child({}, { level: 'info' });

function fieldsOf({ principal, trace_id = activeTraceId(), more, ...record }: AuditRecord) {
  const { owner = record.owner, userId: user_id, roles } = principal ?? {};
  const traced = trace_id === undefined ? {} : { trace_id };
  return { audit: true, ...record, owner, user_id, roles, ...traced, ...more };
}
