import math, no_such_module_of_mine
