import pickle
def load_labels(p):
    return pickle.load(open(p,'rb'))
