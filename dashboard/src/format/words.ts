// Names of the API as words, and numbers with their nouns.

/** `connect_refused` is `connect refused`. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
