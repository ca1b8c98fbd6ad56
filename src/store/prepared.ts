import { type CompiledQuery, type QueryExecutor, type RawBuilder, sql } from 'kysely';
import type { Db } from './users.ts';

/** Stands for a value while a statement is built; every place where it occurs gets the value. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

type Buildable<Row> = { compile(): CompiledQuery<Row> };
type Values = Readonly<Record<string, unknown>>;

/** Building and compiling a statement costs ten times what SQLite needs to answer it: those of checks and sign-ins are compiled once. */
function compileOnce<Row>(build: (db: Db) => Buildable<Row>): (db: Db, values: Values) => CompiledQuery<Row> {
  const compiled = new WeakMap<QueryExecutor['adapter'], CompiledQuery<Row>>();

  return (db, values) => {
    // Transactions and their database share the adapter, two databases do not.
    const { adapter } = db.getExecutor();
    let statement = compiled.get(adapter);
    if (statement === undefined) {
      statement = build(db).compile();
      compiled.set(adapter, statement);
    }
    const parameters = statement.parameters.map((parameter) =>
      parameter instanceof Placeholder ? values[parameter.name] : parameter,
    );
    return { ...statement, parameters };
  };
}

const only = 'value';
/**
 * The value as statements get it. SQLite compiles a join anew at each use when a bare bound value is compared in it, since it might
 * plan another way for another value; behind a cast it cannot, which makes the statement ten times as fast.
 */
const castValues = {
  text: sql<string>`cast(${new Placeholder(only)} as text)`,
  integer: sql<number>`cast(${new Placeholder(only)} as integer)`,
};

/** A statement with one value, compiled for the database that will run it. */
export type Prepared<Row> = (db: Db, value: string | number) => CompiledQuery<Row>;

/** A statement with one value, which may join. */
export function prepare<Row, Type extends keyof typeof castValues>(
  type: Type,
  build: (db: Db, value: (typeof castValues)[Type]) => Buildable<Row>,
): Prepared<Row> {
  const statement = compileOnce((db) => build(db, castValues[type]));
  return (db, value) => statement(db, { [only]: value });
}

type Named<T> = <Name extends keyof T & string>(name: Name) => RawBuilder<T[Name]>;

/** A statement on one table with several values, each by its name. */
export function prepareNamed<T extends object, Row = unknown>(
  build: (db: Db, value: Named<T>) => Buildable<Row>,
): (db: Db, values: T) => CompiledQuery<Row> {
  const value: Named<T> = (name) => sql`${new Placeholder(name)}`;
  const statement = compileOnce((db) => build(db, value));
  return (db, values) => statement(db, values as Values);
}
