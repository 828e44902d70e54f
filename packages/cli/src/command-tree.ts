/** The commands as plain data, from which the shell completions and the man page are made. */
import type { Argument, Command, Option } from 'commander'

/** The completions that a shell offers for a value: file names, directory names, or none. */
export type ValueKind = 'file' | 'directory' | 'text'

/** The value of an option, or an operand of a command. */
export interface ValueNode {
  /** The placeholder, such as `file`. */
  name: string
  required: boolean
  variadic: boolean
  /** All possible values; none when any text is possible. */
  choices: readonly string[]
  kind: ValueKind
}

export interface OptionNode {
  /** The short name, if there is one, and the long name: `-h`, `--help`. */
  names: readonly string[]
  description: string
  value: ValueNode | undefined
  /** Whether the option may occur more than once. */
  isRepeatable: boolean
}

export interface CommandNode {
  /** The words of the command after the program's name: [] for the program itself, ['audit', 'ls']. */
  path: readonly string[]
  description: string
  options: readonly OptionNode[]
  operands: readonly ValueNode[]
  commands: readonly CommandNode[]
  /** The paragraphs that `--help` prints after the options. */
  notes: string
}

/** Placeholders that stand for a path. */
const FILES: ReadonlySet<string> = new Set(['file', 'path', 'paths', 'place', 'export'])
const DIRECTORIES: ReadonlySet<string> = new Set(['dir', 'directory'])

/** Returns a command and the commands below it. Leaves out hidden commands. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode {
  const help = command.createHelp()
  const children = help.visibleCommands(command)
  const names = children.map((child) => child.name())
  return {
    path,
    description: command.description(),
    options: help.visibleOptions(command).map(optionNode),
    operands: command.registeredArguments.map(operandNode),
    commands: children.map((child) => {
      const node = commandTree(child, [...path, child.name()])
      // The operand of `help` is the name of another command.
      if (child.name() !== 'help' || command.commands.includes(child)) return node
      return { ...node, operands: node.operands.map((operand) => ({ ...operand, choices: names })) }
    }),
    notes: notesOf(command),
  }
}

/** Returns a command and all commands below it, in order. */
export function flatten(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(flatten)]
}

function optionNode(option: Option): OptionNode {
  const names = [option.short, option.long].filter((name) => name !== undefined)
  const takesValue = option.required || option.optional
  const placeholder = /[<[]([^>\].]+)/.exec(option.flags)?.[1] ?? ''
  return {
    names,
    description: describe(option),
    isRepeatable: option.variadic || (option.parseArg !== undefined && option.argChoices === undefined),
    value: takesValue ? valueNode(placeholder, option.required, false, option.argChoices) : undefined,
  }
}

/** Returns the description of an option with its default and its environment variable. */
function describe(option: Option): string {
  const { description, defaultValue, defaultValueDescription, argChoices, envVar } = option
  const facts = []
  if (argChoices !== undefined) facts.push(argChoices.join(' or '))
  const fallback = defaultValueDescription ?? defaultValue
  if (typeof fallback === 'string') facts.push(`default: ${fallback}`)
  if (envVar !== undefined) facts.push(`env: ${envVar}`)
  return facts.length === 0 ? description : `${description} (${facts.join('; ')})`
}

function operandNode(argument: Argument): ValueNode {
  return valueNode(argument.name(), argument.required, argument.variadic, argument.argChoices)
}

function valueNode(
  name: string,
  required: boolean,
  variadic: boolean,
  choices: readonly string[] = [],
): ValueNode {
  const kind = FILES.has(name) ? 'file' : DIRECTORIES.has(name) ? 'directory' : 'text'
  return { name, required, variadic, choices, kind }
}

/** Returns what `--help` prints after the options and commands. */
function notesOf(command: Command): string {
  const output = command.configureOutput()
  let text = ''
  command.configureOutput({ ...output, writeOut: (part) => void (text += part), getOutHelpWidth: () => 80 })
  command.outputHelp()
  const { length } = command.helpInformation()
  command.configureOutput(output)
  return text.slice(length).trim()
}
