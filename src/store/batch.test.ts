import { beforeAll, expect, test } from 'bun:test';
import { CompiledQuery } from 'kysely';
import { SQL } from 'bun';
import { testDatabaseUrl } from '../../tests/support/postgres.ts';
import { createBatchReader } from './batch.ts';

let sql: SQL;
let sent: string[];

beforeAll(async () => {
  sql = new SQL(await testDatabaseUrl(), { max: 2 });
}, 30_000);

function startReader() {
  sent = [];
  return createBatchReader(async <Row>(text: string, parameters: readonly unknown[]) => {
    sent.push(text);
    return Array.from(await sql.unsafe<Row[]>(text, [...parameters]));
  });
}

const namesFrom = (value: string | number) =>
  CompiledQuery.raw(
    `select g as id, 'n' || g as name, cast($1 as text) as asked from generate_series(1, cast($2 as integer)) g`,
    [value, value],
  ) as CompiledQuery<{ id: number; name: string; asked: string }>;

test('reads of one turn are one statement, and each gets its own rows', async () => {
  const read = startReader();
  const values = [3, 0, 1, 3, 2];
  const answers = await Promise.all(values.map((value) => read(namesFrom(value))));
  expect(sent.length).toBe(1);
  expect(answers.map((rows) => rows.map(({ id, name, asked }) => `${id} ${name} ${asked}`))).toEqual(
    values.map((value) => Array.from({ length: value }, (_, at) => `${at + 1} n${at + 1} ${value}`)),
  );
});

test('a value that several ask for is asked once', async () => {
  const read = startReader();
  const answers = await Promise.all([2, 2, 2].map((value) => read(namesFrom(value))));
  expect(sent).toEqual([namesFrom(2).sql]);
  expect(answers.map((rows) => rows.length)).toEqual([2, 2, 2]);
});

test('another turn and another statement are statements of their own', async () => {
  const read = startReader();
  const other = CompiledQuery.raw('select cast($1 as text) as asked', ['x']);
  await Promise.all([read(namesFrom(1)), read(other)]);
  await read(namesFrom(1));
  expect(sent).toEqual([namesFrom(1).sql, other.sql, namesFrom(1).sql]);
});

test('texts come back to whoever asked, whatever is in them', async () => {
  const read = startReader();
  const texts = ['', '"', '\\', '[1]', "'; drop table users; --", '$1', 'é\u{1f600}', ' a '];
  const answers = await Promise.all(
    texts.map((text) => read(CompiledQuery.raw('select cast($1 as text) as asked', [text]))),
  );
  expect(sent.length).toBe(1);
  expect(answers).toEqual(texts.map((text) => [expect.objectContaining({ asked: text })]));
});

test('many values are several statements', async () => {
  const read = startReader();
  const answers = await Promise.all(Array.from({ length: 150 }, (_, at) => read(namesFrom(at % 150))));
  expect(sent.length).toBe(3);
  expect(answers.map((rows) => rows.length)).toEqual(Array.from({ length: 150 }, (_, at) => at));
});

test('a statement that fails fails for all who went with it, and only for them', async () => {
  const read = startReader();
  const divided = (value: number) =>
    CompiledQuery.raw('select 1 / cast($1 as integer) as quotient', [value]) as CompiledQuery<{ quotient: number }>;
  const outcomes = await Promise.allSettled([read(divided(1)), read(divided(0)), read(namesFrom(1))]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  expect((await read(divided(1)))[0]?.quotient).toBe(1);
});
