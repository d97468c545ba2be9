def write(*a): pass
def markdown(*a): pass
