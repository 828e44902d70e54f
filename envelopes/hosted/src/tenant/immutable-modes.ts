/** Whether file attributes keep what is sealed from everybody. `auto`: where they can be had; `required`: nothing runs without. */
export type ImmutableMode = 'auto' | 'off' | 'required'

export const IMMUTABLE_MODES: readonly ImmutableMode[] = ['auto', 'off', 'required']
