import type { CompiledQuery } from 'kysely';

/** Sends one statement and gives its rows. */
export type Run = <Row>(sql: string, parameters: readonly unknown[]) => Promise<Row[]>;

type Value = string | number;
type Waiting = { readonly resolve: (rows: never[]) => void; readonly reject: (error: unknown) => void };

/** What was asked of one statement and is not sent yet: each value once, with all who wait for its rows. */
type Batch = { readonly first: CompiledQuery; readonly byValue: Map<Value, Waiting[]> };

/** A row, and for which of the values. */
type Placed = { readonly batch_place: number };

/** So many values are sent without waiting for the turn's end: nobody should wait for a statement without bounds. */
const mostValues = 64;

/**
 * Reads of one prepared statement that are asked for in the same turn of the event loop go to PostgreSQL as one statement: a busy
 * server asks for dozens of sessions at a time, and a statement costs both sides far more than a row in it. Each read is sent after
 * it was asked for, so it sees all that was committed before.
 * @returns takes what `prepare` makes; rejects with what the statement was refused with, for all who went with it
 */
export function createBatchReader(run: Run): <Row>(query: CompiledQuery<Row>) => Promise<Row[]> {
  const batches = new Map<string, Batch>();

  function send(sql: string, batch: Batch): void {
    if (batches.get(sql) !== batch) return;
    batches.delete(sql);
    const { first, byValue } = batch;
    const waiting = [...byValue.values()];
    const answer = (groups: readonly unknown[][]) => {
      for (const [place, group] of waiting.entries()) for (const one of group) one.resolve(groups[place] as never[]);
    };
    const refuse = (error: unknown) => {
      for (const one of waiting.flat()) one.reject(error);
    };
    if (byValue.size === 1) run(sql, first.parameters).then((rows) => answer([rows]), refuse);
    else
      run<Placed>(together(sql), [JSON.stringify([...byValue.keys()])]).then(
        (rows) => answer(group(rows, byValue.size)),
        refuse,
      );
  }

  function batchOf(query: CompiledQuery): Batch {
    const known = batches.get(query.sql);
    if (known !== undefined) return known;
    const batch: Batch = { first: query, byValue: new Map() };
    batches.set(query.sql, batch);
    setImmediate(send, query.sql, batch);
    return batch;
  }

  return (query) =>
    new Promise((resolve, reject) => {
      const batch = batchOf(query);
      const value = query.parameters[0] as Value;
      const waiting = batch.byValue.get(value);
      if (waiting === undefined) batch.byValue.set(value, [{ resolve, reject }]);
      else waiting.push({ resolve, reject });
      if (batch.byValue.size >= mostValues) send(query.sql, batch);
    });
}

const statements = new Map<string, string>();

/**
 * The statement for a JSON array of values, which is bound as text, since the runtime would write a JSON parameter once more. Every placeholder of a prepared statement stands for the same value.
 */
function together(sql: string): string {
  let statement = statements.get(sql);
  if (statement === undefined) {
    const each = sql.replaceAll(/\$\d+/g, '"one"."value"');
    statement =
      'select cast("one"."place" as integer) as "batch_place", "found".* ' +
      'from json_array_elements_text(cast(cast($1 as text) as json)) with ordinality as "one" ("value", "place") ' +
      `cross join lateral (${each}) as "found"`;
    statements.set(sql, statement);
  }
  return statement;
}

function group(rows: readonly Placed[], size: number): Placed[][] {
  const groups = Array.from({ length: size }, (): Placed[] => []);
  for (const row of rows) groups[row.batch_place - 1]?.push(row);
  return groups;
}
