import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readOnlySql } from '../../packages/worker/src/toolkit/sql.ts';

function sample(maxRows = 10) {
  const folder = mkdtempSync(join(tmpdir(), 'callyard-test-'));
  const file = join(folder, 'sample.db');
  const writer = new DatabaseSync(file);
  writer.exec(
    "CREATE TABLE t (id INTEGER, name TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (9007199254740993, 'big');",
  );
  const sql = readOnlySql({ file, maxRows });
  onTestFinished(() => {
    sql.close();
    writer.close();
    rmSync(folder, { recursive: true });
  });
  return {
    sql,
    folder,
    exec: (statement: string) => writer.exec(statement),
    rows: () => writer.prepare('SELECT count(*) AS n FROM t').get()?.n,
  };
}

describe('read-only SQL', () => {
  it('selects, with parameters, functions, joins and common table expressions', () => {
    const { sql } = sample();
    expect(sql.query('SELECT upper(name) AS name FROM t WHERE id = ?', [2])).toEqual([{ name: 'B' }]);
    expect(sql.query('WITH x AS (SELECT id FROM t) SELECT count(*) AS n FROM x JOIN t USING (id)')).toEqual([{ n: 3 }]);
    expect(
      sql.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT i FROM n'),
    ).toHaveLength(3);
  });

  it('gives integers that a number cannot hold as text, and bytes as base64', () => {
    const { sql } = sample();
    expect(sql.query("SELECT id FROM t WHERE name = 'big'")).toEqual([{ id: '9007199254740993' }]);
    expect(sql.query("SELECT x'01ff' AS bytes")).toEqual([{ bytes: 'Af8=' }]);
  });

  it.each([
    "INSERT INTO t VALUES (3, 'c')",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT 1, 'x' FROM x",
    "UPDATE t SET name = 'x'",
    'DELETE FROM t',
    'DROP TABLE t',
    'CREATE TABLE u (id)',
    'CREATE TEMP TABLE u (id)',
    "ATTACH '/etc/passwd' AS other",
    "VACUUM INTO 'copy.db'",
    'PRAGMA writable_schema = 1',
    'PRAGMA query_only = 0',
    'SELECT file FROM pragma_database_list',
    "SELECT * FROM pragma_table_info('t')",
    'WITH x AS (SELECT 1) DELETE FROM t',
    "REPLACE INTO t VALUES (1, 'x')",
    'CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END',
    'ANALYZE',
    'no SQL at all',
    '',
    'BEGIN',
    "SELECT load_extension('x')",
    "SELECT writefile('x', 'y')",
    'EXPLAIN DELETE FROM t; SELECT 1',
  ])('refuses %s', (statement) => {
    const { sql, rows, folder } = sample();
    const refuse = () => sql.query(statement);
    expect(refuse).toThrow('The query cannot be run');
    expect(refuse).not.toThrow(folder);
    expect(rows()).toBe(3);
  });

  it('refuses several statements, and runs none of them', () => {
    const { sql, rows } = sample();
    expect(() => sql.query('SELECT 1 AS one; DROP TABLE t')).toThrow('Only one statement');
    expect(sql.query('SELECT 1 AS one;\n')).toEqual([{ one: 1 }]);
    expect(rows()).toBe(3);
  });

  it('gives back no rows that would fill the memory together', () => {
    const { sql } = sample(200);
    const values = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)';
    expect(() => sql.query(`${values} SELECT printf('%.*c', 20000, 'x') AS x FROM n`)).toThrow(
      'More than 1048576 bytes',
    );
    expect(() => sql.query(`SELECT ${Array(101).fill('1').join()}`)).toThrow('More than 100 columns');
  });

  it('tries a database again that somebody writes to', () => {
    const { sql, exec } = sample();
    exec('BEGIN EXCLUSIVE');
    expect(() => sql.query('SELECT * FROM t')).toThrow(expect.objectContaining({ retry: 'backoff' }));
    exec('COMMIT');
    expect(sql.query('SELECT * FROM t')).toHaveLength(3);
  });

  it('runs no value that would fill the memory', () => {
    const { sql } = sample();
    expect(() => sql.query('SELECT randomblob(2000000) AS n')).toThrow('too big');
    expect(() => sql.query("SELECT printf('%.*c', 2000000, 'x') AS n")).toThrow('too big');
  });

  it('stops a query that has no end at its row cap', () => {
    const { sql } = sample();
    expect(() => sql.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n')).toThrow(
      'More than 10 rows',
    );
  });
});
