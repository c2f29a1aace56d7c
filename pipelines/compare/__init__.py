"""`loregraph compare`: systems, texts, controls and seeds as one matrix, tuned with equal budgets and measured once."""
