/** Remembers what was computed of a value for as long as the value lives. */
export function remember<K extends object, V>(compute: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = compute(key);
      known.set(key, value);
    }
    return value;
  };
}

/** Remembers the last text and what was computed of it: clients send the same header again and again. */
export function rememberLast<V>(compute: (text: string) => V): (text: string) => V {
  let known: { readonly text: string; readonly value: V } | undefined;
  return (text) => {
    if (known?.text !== text) known = { text, value: compute(text) };
    return known.value;
  };
}
