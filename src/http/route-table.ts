import type { Door, Route } from './door.ts';

/** One route and the door it belongs to. */
export type Endpoint = Pick<Route, 'answer' | 'holdsCaller'> & { readonly door: Door };

/** Everything declared for one path. */
export type PathEntry = {
  /** The door that declared the path first: it answers the path's faults. */
  readonly door: Door;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** Value of `Allow`: methods in the order declared, HEAD right after GET. */
  readonly allow: string;
};

export type PathMatch = { readonly entry: PathEntry; readonly params: Readonly<Record<string, string>> };

/** All doors' routes, compiled once at start. */
export type RouteTable = {
  readonly literal: ReadonlyMap<string, PathMatch>;
  readonly patterns: PatternNode;
  /** Paths of the doors that ignore letter case, in lower case. */
  readonly folded: ReadonlyMap<string, PathMatch>;
  /** Prefixes with their doors, longest first; in lower case where the door ignores it. */
  readonly owned: readonly { readonly prefix: string; readonly door: Door }[];
  readonly fallback: Door;
};

/** One segment of the paths with parameters. */
type PatternNode = {
  readonly literals: Map<string, PatternNode>;
  parameter: PatternNode | undefined;
  end: { readonly entry: PathEntry; readonly names: readonly string[] } | undefined;
};

type OwnedRoute = Route & { readonly door: Door };

const noParams: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Compiles the routes of all doors.
 *
 * @throws Error when two routes claim one method and path, two doors one prefix, or a path cannot be understood
 */
export function compileRoutes(doors: readonly Door[], fallback: Door): RouteTable {
  const all = doors.includes(fallback) ? doors : [...doors, fallback];
  const literal = new Map<string, PathMatch>();
  const patterns = newNode();
  for (const [path, routes] of routesByPath(all.filter((door) => door.ignoresCase !== true))) {
    const entry = compilePath(routes);
    if (path.includes('{')) plantPattern(patterns, path, entry);
    else literal.set(path, { entry, params: noParams });
  }
  const folded = new Map<string, PathMatch>();
  for (const [path, routes] of routesByPath(all.filter((door) => door.ignoresCase === true))) {
    if (path.includes('{')) throw new Error(`${path}: a path that ignores letter case has no parameters`);
    const match = { entry: compilePath(routes), params: noParams };
    // Nearly every client spells a path as it is published.
    if (!literal.has(path)) literal.set(path, match);
    folded.set(path.toLowerCase(), match);
  }
  return { literal, patterns, folded, owned: compileOwned(all), fallback };
}

/** What is declared for a path, undefined when nothing is. Literal segments win, the leftmost first. */
export function findPath(table: RouteTable, path: string): PathMatch | undefined {
  return table.literal.get(path) ?? findPattern(table.patterns, path) ?? table.folded.get(path.toLowerCase());
}

/** The door whose 404 a path without routes gets. */
export function findOwner(table: RouteTable, path: string): Door {
  for (const { prefix, door } of table.owned) {
    if ((door.ignoresCase === true ? path.toLowerCase() : path).startsWith(prefix)) return door;
  }
  return table.fallback;
}

function routesByPath(doors: readonly Door[]): Map<string, OwnedRoute[]> {
  const byPath = new Map<string, OwnedRoute[]>();
  for (const door of doors) {
    for (const route of door.routes) {
      const routes = byPath.get(route.path) ?? [];
      if (!route.path.startsWith('/')) throw new Error(`${door.name}: the path ${route.path} must start with a slash`);
      routes.push({ ...route, door });
      byPath.set(route.path, routes);
    }
  }
  return byPath;
}

function compilePath(routes: readonly OwnedRoute[]): PathEntry {
  const endpoints = new Map<string, Endpoint>();
  for (const route of routes) {
    const { method, path, door } = route;
    if (endpoints.has(method)) throw new Error(`${door.name}: ${method} ${path} is already taken`);
    endpoints.set(method, route);
  }
  const methods = [...endpoints.keys()];
  const get = endpoints.get('GET');
  if (get !== undefined && !endpoints.has('HEAD')) {
    endpoints.set('HEAD', get);
    methods.splice(methods.indexOf('GET') + 1, 0, 'HEAD');
  }
  // A path is only kept with a route, so the first one exists.
  return { door: (routes[0] as OwnedRoute).door, endpoints, allow: methods.join(', ') };
}

function newNode(): PatternNode {
  return { literals: new Map(), parameter: undefined, end: undefined };
}

function plantPattern(root: PatternNode, path: string, entry: PathEntry): void {
  const names: string[] = [];
  let node = root;
  for (const segment of path.slice(1).split('/')) {
    const name = parameterName(segment, path);
    if (name !== undefined) names.push(name);
    node = name === undefined ? literalChild(node, segment) : (node.parameter ??= newNode());
  }
  // `/users/{id}` and `/users/{userId}` are one path; two spellings would hide a method of one behind the other.
  if (node.end !== undefined) throw new Error(`${entry.door.name}: ${path} is already declared with other names`);
  node.end = { entry, names };
}

function parameterName(segment: string, path: string): string | undefined {
  if (!/[{}]/.test(segment)) return undefined;
  const name = /^\{([A-Za-z]\w*)\}$/.exec(segment)?.[1];
  if (name === undefined) throw new Error(`${path}: a parameter must be a whole segment such as {id}`);
  return name;
}

function literalChild(node: PatternNode, segment: string): PatternNode {
  const child = node.literals.get(segment) ?? newNode();
  node.literals.set(segment, child);
  return child;
}

function findPattern(root: PatternNode, path: string): PathMatch | undefined {
  const values: string[] = [];
  const end = descend(root, path, 1, values);
  if (end === undefined) return undefined;
  const params: Record<string, string> = {};
  end.names.forEach((name, index) => {
    params[name] = values[index] as string;
  });
  return { entry: end.entry, params };
}

/** Follows the path from index `from`, collecting parameter values; goes back when a literal leads nowhere. */
function descend(node: PatternNode, path: string, from: number, values: string[]): PatternNode['end'] {
  if (from > path.length) return node.end;
  const slash = path.indexOf('/', from);
  const to = slash === -1 ? path.length : slash;
  const segment = path.slice(from, to);
  const literal = node.literals.get(segment);
  const found = literal && descend(literal, path, to + 1, values);
  // An empty segment is never a value: `/users/` is not the user with the empty id.
  if (found !== undefined || node.parameter === undefined || segment === '') return found;
  values.push(segment);
  const end = descend(node.parameter, path, to + 1, values);
  if (end === undefined) values.pop();
  return end;
}

function compileOwned(doors: readonly Door[]): RouteTable['owned'] {
  const spell = (door: Door, prefix: string) => (door.ignoresCase === true ? prefix.toLowerCase() : prefix);
  const owned = doors.flatMap((door) => door.owns.map((prefix) => ({ prefix: spell(door, prefix), door })));
  const prefixes = new Set(owned.map(({ prefix }) => prefix));
  if (prefixes.size !== owned.length) throw new Error('two doors own the same path prefix');
  return owned.sort((one, other) => other.prefix.length - one.prefix.length);
}
