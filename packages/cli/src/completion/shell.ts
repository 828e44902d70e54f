/** Functions that the completion scripts of all shells share. */
import type { CommandNode, ValueNode } from '../command-tree.ts'

/** Quotes `text` as one word for POSIX shells, including zsh. */
export function quoteSh(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** Returns the words of a command joined by spaces: `audit ls`. */
export function pathText({ path }: CommandNode): string {
  return path.join(' ')
}

/** Returns the keys `path|word` of the words that lead from a command to one of its subcommands. */
export function descents(nodes: readonly CommandNode[]): string[] {
  return nodes.flatMap((node) => node.commands.map((child) => `${pathText(node)}|${child.path.at(-1)}`))
}

/** Returns the keys `path|option` of the options whose next word is their value, for values that `select` accepts. */
export function valueOptions(
  nodes: readonly CommandNode[],
  select: (value: ValueNode) => boolean = () => true,
): string[] {
  return nodes.flatMap((node) =>
    node.options
      .filter(({ value }) => value !== undefined && select(value))
      .flatMap(({ names }) => names.map((name) => `${pathText(node)}|${name}`)),
  )
}
