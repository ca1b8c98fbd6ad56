import { expect, test } from 'bun:test';
import { isDuplicate, isStoreTrouble, StoreError, translate } from './errors.ts';

const server = 'ERR_POSTGRES_SERVER_ERROR';

test.each([
  ['SQLITE_CONSTRAINT_UNIQUE', 2067, 'duplicate'],
  ['SQLITE_CONSTRAINT_PRIMARYKEY', 1555, 'duplicate'],
  ['SQLITE_BUSY', 5, 'busy'],
  ['SQLITE_BUSY_SNAPSHOT', 517, 'busy'],
  ['SQLITE_LOCKED', 6, 'busy'],
  ['SQLITE_FULL', 13, 'unavailable'],
  ['SQLITE_READONLY_DBMOVED', 1032, 'unavailable'],
  ['SQLITE_IOERR_FSYNC', 1034, 'unavailable'],
  ['SQLITE_CANTOPEN', 14, 'unavailable'],
  ['SQLITE_CORRUPT', 11, 'unavailable'],
  ['SQLITE_NOTADB', 26, 'unavailable'],
  [server, '23505', 'duplicate'],
  [server, '40001', 'busy'],
  [server, '40P01', 'busy'],
  [server, '55P03', 'busy'],
  [server, '57014', 'unavailable'],
  [server, '57P01', 'unavailable'],
  [server, '57P03', 'unavailable'],
  [server, '53300', 'unavailable'],
  // Its disk fails while it still answers, as in a power cut of the fault plan.
  [server, '58030', 'unavailable'],
  [server, '08006', 'unavailable'],
  [server, '25006', 'unavailable'],
  ['ERR_POSTGRES_CONNECTION_CLOSED', undefined, 'unavailable'],
  ['ERR_POSTGRES_CONNECTION_TIMEOUT', undefined, 'unavailable'],
])('TP6: %s %s becomes %s and keeps its cause', (code, errno, word) => {
  const cause = Object.assign(new Error('of the driver'), { code, errno });
  const error = translate(cause);
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({ word, cause });
  expect(isDuplicate(error)).toBe(word === 'duplicate');
  expect(isStoreTrouble(error)).toBe(word !== 'duplicate');
});

test.each([
  ['SQLITE_CONSTRAINT_NOTNULL', 1299],
  ['SQLITE_ERROR', 1],
  [server, '42P01'],
  [server, '23503'],
  ['ENOENT', -2],
  [undefined, '23505'],
])('leaves %s %s as it is', (code, errno) => {
  const error = Object.assign(new Error('of the driver'), { code, errno });
  expect(translate(error)).toBe(error);
});

test('leaves what is no error of a driver as it is', () => {
  const error = new StoreError('busy');
  expect(translate(error)).toBe(error);
  expect(translate('text')).toBe('text');
  expect(translate(undefined)).toBeUndefined();
});
