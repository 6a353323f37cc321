"""Sentences of many kinds, to be spoken and heard again."""

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "She bought three apples, two oranges and a loaf of bread.",
    "Please call me back tomorrow morning before nine o'clock.",
    "The weather in London has been surprisingly warm this week.",
    "Our train leaves from platform seven in twenty minutes.",
    "I have never seen such a beautiful sunset in my life!",
    "Could you tell me where the nearest pharmacy is?",
    "The museum opens at 10 and closes at half past five.",
    "He played the piano for two hours without a single mistake.",
    "Scientists discovered a new species of frog in the jungle.",
    'My grandmother said: "Nothing beats a chocolate cake."',
    "The meeting was moved to Thursday because of the holiday.",
    "Turn left at the traffic lights, and then go straight ahead.",
    "They reached the top of the mountain shortly after noon.",
    "A small boat crossed the river just before the storm began.",
    "The children were laughing and playing in the garden.",
    "You should always wash your hands before dinner.",
    "The company announced a record profit for the third quarter.",
    "It took them almost a year to restore the old cinema.",
    "Nobody knows exactly how many stars there are.",
)
