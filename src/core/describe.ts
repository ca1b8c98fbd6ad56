import { after, type Soon } from '../soon.ts';
import { factsOfUser } from '../store/directory.ts';
import { type DescribedContext, type SessionContext, toDirectoryFacts } from './context.ts';
import type { Core } from './core.ts';

/** Kept in the context itself, as `remember` keeps answers. */
const slot = Symbol('described');
type Described = { readonly [slot]?: DescribedContext };

/**
 * A context with what the directory says of its user. It is read when a contract prints it and lives as long as the context, which
 * every change of what it says forgets; contracts that print none of it are spared the statement.
 * @throws StoreError, also by the promise
 */
export function describe(core: Core, context: SessionContext): Soon<DescribedContext> {
  const known = (context as Described)[slot];
  if (known !== undefined) return known;
  return after(core.store.read(factsOfUser(core.store.checks, context.user.id)), (rows) => {
    const full = { ...context, ...toDirectoryFacts(rows) };
    Object.defineProperty(context, slot, { value: full, writable: true });
    return full;
  });
}
