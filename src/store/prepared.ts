import type { CompiledQuery, QueryExecutor } from 'kysely';
import type { Db } from './users.ts';

/** Stands for the value while a statement is built; every place where it occurs gets the value. */
const placeholder = Symbol('value') as never;

/** Building and compiling a statement costs ten times what SQLite needs to answer it: the checks' statements are compiled once. */
export function prepare<Row>(build: (db: Db, value: never) => { compile(): CompiledQuery<Row> }) {
  const compiled = new WeakMap<QueryExecutor['adapter'], CompiledQuery<Row>>();

  /** Rows of the statement for one value. */
  return async (db: Db, value: string | number): Promise<Row[]> => {
    // Transactions and their database share the adapter, two databases do not.
    const { adapter } = db.getExecutor();
    const statement = compiled.get(adapter) ?? build(db, placeholder).compile();
    compiled.set(adapter, statement);
    const parameters = statement.parameters.map((parameter) => (parameter === placeholder ? value : parameter));
    return (await db.executeQuery<Row>({ ...statement, parameters })).rows;
  };
}
